//! Cluster Lab's virtual lab: release images booted as virtual Pis in QEMU, on one virtual switch with an uplink router.
//!
//! Used by people through the program `lab`, and by the boot tests through this library. Needs no root rights.
//! Limits: 16 nodes (the uplink router of QEMU leases no more addresses), no Wi-Fi, no Docker speed worth measuring.

pub mod boot_files;
pub mod card;
pub mod cli;
pub mod console;
pub mod credentials;
pub mod device_tree;
pub mod folder;
pub mod interrupt;
pub mod lab;
pub mod machine;
pub mod node_status;
pub mod process;
pub mod progress;
pub mod qmp;
pub mod record;
pub mod router;
pub mod serial;
pub mod ssh;
pub mod switch;
pub mod table;
pub mod watch;
