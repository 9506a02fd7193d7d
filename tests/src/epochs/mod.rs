//! The rule by which what is deleted, expired or replaced for good leaves the stores, as a model: docs/epochs.md.

mod rule;
pub mod variant;

mod action;
mod exchange;
mod history;
mod message;
mod record;
mod replica;
mod stand_in;
mod world;

mod checks;
pub mod configurations;
mod model;
mod rest;

mod choice;
pub mod command;
pub mod search;
mod shortest;
pub mod stories;
mod walk;
