//! Time on the cluster network: the master serves it (SNTP, RFC 4330; RFC 5905 where that is newer), and a node whose
//! clock is far behind takes it. `packet` and `step` decide, `clock` is the kernel's clock, `server` and `follower` have
//! the sockets.

pub mod clock;
pub mod follower;
pub mod packet;
pub mod server;
pub mod step;
