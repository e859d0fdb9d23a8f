//! The cluster network of one node: its interface, its role on it, and what belongs to the role.
//!
//! Decisions are in pure modules (`link`, `role`, `dhcp::client`, `dhcp::server`, `dhcp::lease_table`), effects in one
//! file per outside system (`netlink`, `packet`, `discovery`, `master`, `web`, `follower`, `memory`); `run` joins them.

pub mod announcement;
pub mod arp;
pub mod dhcp;
pub mod discovery;
pub mod dns;
pub mod follower;
pub mod foreign;
pub mod hosts;
pub mod jitter;
pub mod link;
pub mod mac;
pub mod master;
pub mod memory;
pub mod names;
pub mod netlink;
pub mod packet;
pub mod role;
pub mod run;
pub mod sntp;
pub mod view;
pub mod web;
