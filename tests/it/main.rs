//! The product on SQLite: the schema, readers over views, and the whole server over real sockets.

mod checker;
mod command_line;
mod crash;
mod delivery;
mod fuzz;
mod hostile;
mod http;
mod http2;
mod model;
mod prepare;
mod readers;
mod rooms;
mod schema;
mod shared;
mod support;
