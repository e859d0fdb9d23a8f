//! What users run: Swarm services, in our own words. Nothing is scheduled here; Swarm does that.

mod counters;
mod definition;
mod docker;
mod seen;
mod spec;
mod tally;

pub use counters::Counters;
pub use definition::{Definition, Port, Protocol, ServiceName};
pub use docker::{Failure, ImageSeen, LogLine, Swarm};
pub use seen::{NodeSeen, Overview, ServiceSeen, TaskSeen};
pub use tally::{Tally, watch};
