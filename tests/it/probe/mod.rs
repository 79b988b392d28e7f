//! Probes against real servers.

mod web;
