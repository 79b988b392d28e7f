//! Checklists: one message with a box for each item; a tick carries who and when. Boxes that a probe can
//! tell are ticked by looking.

mod command;
mod course;
mod lists;
mod words;

pub(super) use command::{
    checklist_end, checklist_list, checklist_look, checklist_show, checklist_start, checklist_tick,
};
