//! The master's DNS server on the cluster network. `query`, `zone`, `answer`, `reply` and `cache` decide, `resolvers`
//! reads who else can be asked, `forward` asks them, and `server` has the sockets. This folder alone imports
//! hickory-proto.
//!
//! What others answer is passed on as it came, not taken apart into records: so that no record of theirs is unknown
//! here, and none costs memory or time but its bytes.

pub mod answer;
pub mod cache;
pub mod forward;
pub mod query;
pub mod reply;
pub mod resolvers;
pub mod server;
pub mod zone;
