//! Consul on every node, as the container `cluster_lab_consul`: service registry, key-value store, health, DNS and web
//! page. Consul is an engine of its own; the agent writes its settings, starts it, joins it to the others, and tells it
//! the node's services.
//!
//! **Who is what.** The managers of the swarm are Consul's servers, so the two have one control plane, and a majority of
//! one is a majority of the other. Consul's data belongs to a node's membership in a swarm: a node that leaves the swarm
//! and joins another begins anew here too. Only a node that is its swarm's one and only manager may begin a new Consul
//! cluster, so there are never two in a swarm (see `config`).
//!
//! **Who may do what.** Consul's own HTTP is bound to the loopback address: whoever runs programs on a node (its host
//! network) is trusted with it. On the node's and the master's address of the cluster network, port 8500 is a front of
//! the agent's that passes reading only (see `front`). Consul's own ACLs would need a cluster that works before anybody
//! may do anything, tokens on every node, and an order in which they come: more that can be wrong after a power cut.
//! Gossip is encrypted, and RPC is mutual TLS, both from the cluster secret. In an open lab there is no secret, so
//! nothing is encrypted.

mod client;
pub mod config;
mod files;
mod front;
mod members;
pub mod run;
mod services;
pub mod step;

pub(crate) use client::members;
pub(crate) use members::Member;
