//! The product on SQLite: the schema, readers over views, and the whole server over real sockets.

mod checker;
mod command_line;
mod crash;
mod delivery;
mod hostile;
mod http;
mod model;
mod multipart;
mod prepare;
mod readers;
mod rooms;
mod schema;
mod shared;
mod sse;
mod support;
