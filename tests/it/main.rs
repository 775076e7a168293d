//! The product on SQLite: the schema, readers over views, and the whole server over real sockets.

mod batches;
mod checker;
mod command_line;
mod compression;
mod cookies;
mod crash;
mod delivery;
mod hostile;
mod http;
mod later;
mod model;
mod multipart;
mod poll;
mod prepare;
mod readers;
mod reservation;
mod rooms;
mod schema;
mod shared;
mod sse;
mod support;
