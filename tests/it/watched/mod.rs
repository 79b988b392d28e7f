//! The bot as it is watched: its metrics in a real Prometheus, dashboards and rules, its log.

mod run;
mod seen;
mod shipped;
