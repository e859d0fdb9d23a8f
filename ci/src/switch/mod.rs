//! The virtual switch between the virtual Pis and the uplink's router: learns addresses, passes VLAN tags untouched,
//! can unplug a port, and captures every port. One process; it knows nothing of QEMU but its datagram sockets.

pub mod capture;
pub mod control;
pub mod frame;
pub mod learning;
pub mod lease;
pub mod server;

pub use frame::Mac;
