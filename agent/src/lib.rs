//! The agent of Cluster Lab: everything that runs on a node, daemon and command line.

pub mod access;
pub mod api;
pub mod cli;
pub mod config;
pub mod consul;
pub mod daemon;
pub mod docker_endpoint;
pub mod durable;
pub mod engine;
pub mod events;
pub mod first_boot;
pub mod health;
pub mod http_client;
pub mod http_server;
pub mod members;
pub mod network;
pub mod paths;
pub mod process;
pub mod secret;
pub mod services;
pub mod status;
pub mod stopped;
pub mod trust;
pub mod unmanaged;
