//! DHCP on the cluster network only: the master's server, the nodes' client, and the messages between them.

pub mod checks;
pub mod client;
pub mod frame;
pub mod lease_file;
pub mod lease_table;
pub mod mark;
pub mod message;
pub mod rival;
pub mod server;
