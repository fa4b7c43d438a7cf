//! Hostile files: each ends in one message, or in a verdict, within 10 s of processor time and 4 GB.

#![cfg(target_os = "linux")] // peaks and times are read from /proc
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are tests

#[path = "../common/mod.rs"]
mod common;

mod advice;
mod bombs;
mod faults;
mod files;
mod growth;
mod isolation;
mod names;
mod remains;
mod reports;
mod supply;
mod watched;
