//! Docker Engine, by bollard.
