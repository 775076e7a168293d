//! The product on SQLite: the schema, readers over views, and the whole server over real sockets.

mod batches;
mod checker;
mod command_line;
mod compression;
mod cookies;
mod crash;
mod delivery;
mod fuzz;
mod hostile;
mod http;
mod http2;
mod later;
mod members;
mod model;
mod multipart;
mod poll;
mod prepare;
mod readers;
mod reservation;
mod revocation;
mod rights;
mod rooms;
mod schema;
mod shared;
mod sse;
mod support;
