//! Docker Engine and its swarm mode: this node's part in the swarm, and, on the swarm's leader, its control plane.
//!
//! Orchestration and consensus are Docker's own. Decisions are in pure modules (`plan`, `control_plane`), `docker` is
//! the only file that speaks to the engine, `run` joins them.

pub mod configure;
pub mod control_plane;
pub mod daemon_config;
pub mod docker;
pub mod leadership;
pub mod leave;
pub mod plan;
pub mod preload;
pub mod run;
pub mod service_manager;
pub mod swarm;
pub mod trouble;
