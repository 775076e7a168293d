//! The folder of a scenario, and the server that runs on it.

use std::{
    ffi::OsString,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::{Child, Command},
};

use crate::{Failure, shim::Shim, wait_for};

const BINARY: &str = env!("CARGO_BIN_EXE_switchboard");

/// A folder with a database, and the flags of the servers that use it.
pub(crate) struct Site {
    root: PathBuf,
    /// Where the database is: a folder below the root, or a file system that a scenario mounted.
    data: PathBuf,
    /// The address of the first server. Later ones listen on the same address.
    pub(crate) address: SocketAddr,
    flags: Vec<String>,
    environment: Vec<(&'static str, OsString)>,
    /// A shell command that runs before the server, in the same process.
    before: Option<String>,
}

/// A running server. It is killed when the value is dropped.
pub(crate) struct Server {
    child: Child,
}

impl Site {
    /// Creates a folder for servers with these flags.
    pub(crate) fn new(flags: &[&str]) -> Self {
        let name = format!("switchboard-faults-{}", uuid::Uuid::now_v7().as_simple());
        let root = std::env::temp_dir().join(name);
        fs::create_dir_all(root.join("data")).unwrap();
        Self {
            data: root.join("data"),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            flags: flags.iter().map(ToString::to_string).collect(),
            environment: Vec::new(),
            before: None,
            root,
        }
    }

    /// Loads a shim into the servers.
    pub(crate) fn with_shim(mut self) -> Result<(Self, Shim), Failure> {
        let shim = Shim::new(&self.root, &self.data)?;
        self.environment = shim.environment();
        Ok((self, shim))
    }

    /// Sets an environment variable of the servers.
    pub(crate) fn with_variable(mut self, name: &'static str, value: &str) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// Runs a command in the shell that becomes the server, for example `ulimit`.
    pub(crate) fn after_command(mut self, command: &str) -> Self {
        self.before = Some(command.to_owned());
        self
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of the database.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// The path of the database file.
    pub(crate) fn database(&self) -> PathBuf {
        self.data.join("test.db")
    }

    /// Starts a server. Fails with its log if it does not start.
    pub(crate) async fn start(&mut self) -> Result<Server, Failure> {
        let log = self.root.join("log.txt");
        let file = fs::OpenOptions::new().create(true).append(true).open(&log);
        let mut child = self
            .server_command()
            .stdout(Stdio::piped())
            .stderr(file.unwrap())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| Failure::Failed(format!("the server: {error}")))?;
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let endpoint = async {
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some((_, endpoint)) = line.split_once("endpoint") {
                    let address = endpoint.trim().strip_prefix("http://")?;
                    return address.split('/').next()?.parse().ok();
                }
            }
            None
        };
        match wait_for("the server to start", endpoint).await? {
            Some(address) => {
                self.address = address;
                Ok(Server { child })
            }
            None => {
                let log = fs::read_to_string(&log).unwrap_or_default();
                let last = log.lines().last().unwrap_or_default();
                Err(Failure::Failed(format!("the server did not start: {last}")))
            }
        }
    }

    fn server_command(&self) -> Command {
        let mut command = match &self.before {
            None => Command::new(BINARY),
            Some(before) => {
                let mut shell = Command::new("sh");
                let script = format!("{before} && exec \"$0\" \"$@\"");
                shell.args(["-c", &script, BINARY]);
                shell
            }
        };
        let database = format!("sqlite://{}", self.database().display());
        command
            .args(["serve", "--database", &database, "--no-rate-limits"])
            .args(["--listen", &self.address.to_string()])
            .args(&self.flags)
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs another command of the executable on the database. Returns its exit code and all that
    /// it has printed.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Result<(i32, String), Failure> {
        let database = format!("sqlite://{}", self.database().display());
        let output = Command::new(BINARY)
            .args(arguments)
            .args(["--database", &database])
            .kill_on_drop(true)
            .output();
        let output = wait_for("a command to end", output).await?.unwrap();
        let printed = [output.stdout, output.stderr].concat();
        Ok((
            output.status.code().unwrap_or(-1),
            String::from_utf8_lossy(&printed).into_owned(),
        ))
    }

    /// Makes a backup with the executable.
    pub(crate) async fn backup(&self, name: &str) -> Result<PathBuf, Failure> {
        let path = self.root.join(name);
        let (code, printed) = self.run(&["backup", path.to_str().unwrap()]).await?;
        if code == 0 {
            Ok(path)
        } else {
            Err(Failure::Failed(format!("backup: {printed}")))
        }
    }

    /// The status and the text of `/readyz`. None if the server does not answer.
    pub(crate) async fn readiness(&self) -> Option<(u16, String)> {
        let reading = async {
            let mut stream = TcpStream::connect(self.address).await.ok()?;
            let request = format!(
                "GET /readyz HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
                self.address
            );
            stream.write_all(request.as_bytes()).await.ok()?;
            let mut reply = String::new();
            stream.read_to_string(&mut reply).await.ok()?;
            let status = reply.split(' ').nth(1)?.parse().ok()?;
            let (_, body) = reply.split_once("\r\n\r\n")?;
            Some((status, body.trim().to_owned()))
        };
        let limit = Duration::from_secs(5);
        tokio::time::timeout(limit, reading).await.ok().flatten()
    }

    /// Waits until `/readyz` answers 503 with this reason.
    pub(crate) async fn unready(&self, reason: &str) -> Result<(), Failure> {
        self.readiness_is(503, reason).await
    }

    /// Waits until `/readyz` answers 200.
    pub(crate) async fn ready(&self) -> Result<(), Failure> {
        self.readiness_is(200, "ready").await
    }

    async fn readiness_is(&self, status: u16, text: &str) -> Result<(), Failure> {
        let polling = async {
            loop {
                match self.readiness().await {
                    Some((found, reason)) if found == status => return reason,
                    _ => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        let what = format!("/readyz to answer {status}");
        let reason = wait_for(&what, polling).await?;
        if reason == text {
            return Ok(());
        }
        Err(format!("/readyz answered {status} {reason:?} instead of {text:?}").into())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if std::env::var_os("FAULTS_KEEP").is_none() {
            let _ = fs::remove_dir_all(&self.root);
        }
    }
}

impl Drop for Server {
    /// The folder is deleted next, so the process must have ended.
    fn drop(&mut self) {
        let _ = self.child.start_kill();
        while matches!(self.child.try_wait(), Ok(None)) {
            std::thread::yield_now();
        }
    }
}

impl Server {
    /// Kills the process like `kill -9`.
    pub(crate) async fn kill(mut self) -> Result<(), Failure> {
        wait_for("the server to be killed", self.child.kill())
            .await?
            .map_err(|error| Failure::Failed(error.to_string()))
    }

    /// Sends a signal, for example `STOP`.
    pub(crate) async fn signal(&self, name: &str) -> Result<(), Failure> {
        let id = self.child.id().ok_or("the server has ended by itself")?;
        let status = Command::new("kill")
            .args([&format!("-{name}"), &id.to_string()])
            .status();
        let status = wait_for("a signal", status).await?.unwrap();
        if status.success() {
            Ok(())
        } else {
            Err(format!("kill -{name} failed").into())
        }
    }

    /// Stops the server with SIGTERM, and waits until it has ended.
    pub(crate) async fn stop(mut self) -> Result<(), Failure> {
        self.signal("TERM").await?;
        let ended = wait_for("the server to stop", self.child.wait()).await?;
        match ended {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("the stopped server ended with {status}").into()),
            Err(error) => Err(error.to_string().into()),
        }
    }

    /// How the process ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten();
        status.map(|status| status.to_string())
    }
}
