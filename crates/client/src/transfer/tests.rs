//! Files move whole or not at all, and no name leads out of the folder.

mod carriers;
mod folder;
mod folders;
mod names;
mod resume;
mod server;
