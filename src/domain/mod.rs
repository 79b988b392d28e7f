//! Plain types and rules: incidents, the timeline, services, people, requests, messages.
//!
//! Nothing here does I/O, reads a clock, or knows of Slack, SQL or HTTP.

pub mod service;
