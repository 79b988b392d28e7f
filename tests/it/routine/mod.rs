//! What comes by the calendar: maintenance windows, freezes, tasks; and checklists. Most stories go by a clock that is set by
//! hand, over hours and changes of clocks, with one bot or two on one store.

mod backups;
mod checklists;
mod freezes;
mod tasks;
mod windows;
mod world;
