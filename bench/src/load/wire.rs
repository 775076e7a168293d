//! A minimal WebSocket client, with only the frames that a load needs.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A WebSocket with the subprotocol graphql-transport-ws.
pub(crate) struct Socket {
    stream: TcpStream,
    buffer: Vec<u8>,
    start: usize,
    /// The code with which the server closed.
    pub(super) code: Option<u16>,
}

impl Socket {
    /// Connects and upgrades to a WebSocket.
    pub(crate) async fn open(address: SocketAddr) -> io::Result<Self> {
        let socket = Self::upgrade(TcpStream::connect(address).await?).await?;
        Ok(socket.unwrap_or_else(|status| panic!("no WebSocket: {status}")))
    }

    /// Upgrades to a WebSocket. Returns the status line if the server refuses.
    pub(super) async fn upgrade(mut stream: TcpStream) -> io::Result<Result<Self, String>> {
        let address = stream.peer_addr()?;
        stream.set_nodelay(true)?;
        let request = format!(
            "GET /graphql HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             sec-websocket-protocol: graphql-transport-ws\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut buffer = Vec::with_capacity(1024);
        loop {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                let status = String::from_utf8_lossy(&buffer[..buffer.len().min(12)]).into_owned();
                let socket = Self {
                    stream,
                    buffer,
                    start: end + 4,
                    code: None,
                };
                return Ok(if status == "HTTP/1.1 101" {
                    Ok(socket)
                } else {
                    Err(status)
                });
            }
        }
    }

    /// Sends text. The mask is zero, so the payload is sent unchanged.
    pub(crate) async fn send(&mut self, text: &str) -> io::Result<()> {
        self.send_frame(0x81, text.as_bytes()).await
    }

    async fn send_frame(&mut self, opcode: u8, payload: &[u8]) -> io::Result<()> {
        let mut frame = Vec::with_capacity(payload.len() + 14);
        frame.push(opcode);
        match u16::try_from(payload.len()) {
            Ok(length @ 0..126) => frame.push(0x80 | u8::try_from(length).expect("below 126")),
            Ok(length) => {
                frame.push(0x80 | 126);
                frame.extend(length.to_be_bytes());
            }
            Err(_) => {
                frame.push(0x80 | 127);
                frame.extend((payload.len() as u64).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(payload);
        self.stream.write_all(&frame).await
    }

    /// Reads until at least one text has arrived, and passes each to `each`. Returns false at the
    /// end of the connection.
    pub(crate) async fn receive(&mut self, mut each: impl FnMut(&[u8])) -> io::Result<bool> {
        loop {
            let mut received = false;
            while let Some((opcode, from, to)) = frame(&self.buffer[self.start..]) {
                let payload = self.start + from..self.start + to;
                self.start += to;
                match opcode {
                    1 => {
                        each(&self.buffer[payload]);
                        received = true;
                    }
                    8 => {
                        let code = self.buffer[payload]
                            .first_chunk()
                            .map(|code| u16::from_be_bytes(*code));
                        self.code = code;
                        return Ok(false);
                    }
                    9 => {
                        let payload = self.buffer[payload].to_vec();
                        self.send_frame(0x8a, &payload).await?;
                    }
                    _ => {}
                }
            }
            self.buffer.drain(..self.start);
            self.start = 0;
            if received {
                return Ok(true);
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(false);
            }
        }
    }

    /// Reads until a text contains `part`.
    pub(crate) async fn await_text(&mut self, part: &str) -> io::Result<()> {
        let mut found = false;
        while !found {
            let part = part.as_bytes();
            let open = self
                .receive(|text| found |= text.windows(part.len()).any(|window| window == part))
                .await?;
            if !open {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }
}

/// The opcode of the first frame, and where its payload begins and ends. None if it is incomplete.
fn frame(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (length, from) = match bytes.get(1)? & 0x7f {
        126 => (
            usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)),
            4,
        ),
        127 => (
            usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?,
            10,
        ),
        short => (usize::from(short), 2),
    };
    (bytes.len() >= from + length).then_some((bytes[0] & 0x0f, from, from + length))
}
