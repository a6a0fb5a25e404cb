//! Tests of the whole suite through its public API, in one binary.
//!
//! - `api`: the behaviour of every service, the same cases in one process on SQLite, in one process on
//!   PostgreSQL, and in six processes on PostgreSQL; each case is a test of its own on either engine;
//! - `architecture`: who may know whom, and where things stand;
//! - `audit_cli`: the commands that check a log;
//! - `authority`: the page on who may do what, made from what decides, and its threats against the tests;
//! - `budget`: how many statements a call may cost;
//! - `cli`: policies, inventories and plans on the command line;
//! - `contract`: what holds for every method of the descriptor set;
//! - `errors`: the page of reason codes, against the sources;
//! - `events`: the page of events, made from the types of their details;
//! - `facts`: the page of facts, against the citations;
//! - `faults`: processes that are killed, ports that are taken, databases that are away;
//! - `identity`: tokens of identity providers, at the door and explained;
//! - `openapi`: the contract over HTTP, in OpenAPI;
//! - `outbox`: audit events that the log would refuse;
//! - `policies`: the page on policies, against the rules;
//! - `restore`: a backup of a working suite, and what comes of it;
//! - `receivers`: the receivers of webhooks that the documentation shows, in their languages;
//! - `reference`: the pages of docs/api, made from the contract;
//! - `scale`: an inventory of many tasks;
//! - `story`: the demo, on both kinds of data and both engines;
//! - `telemetry`: what a process tells a collector;
//! - `tutorial`: every command of the tutorial.
#![cfg(test)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod api;
mod architecture;
mod audit_cli;
mod authority;
mod budget;
mod cli;
mod contract;
mod deploy;
mod errors;
mod events;
mod facts;
mod faults;
mod identity;
mod openapi;
mod outbox;
mod policies;
mod receivers;
mod reference;
mod restore;
mod scale;
mod story;
mod support;
mod telemetry;
mod tutorial;
