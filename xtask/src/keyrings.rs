//! Starts keyrings for tests: a separate Secret Service (gnome-keyring on a private bus), the Linux
//! kernel's keyring, and Python's `keyring` and `pykeepass` for shared entries.
//!
//! Tests find them in `LACRE_SECRET_SERVICE` (the address of the bus), `LACRE_KEYCTL` and
//! `LACRE_KEYRING_PYTHON` (programs). The bus never outlives this process: it ends when its
//! standard input, a pipe, closes.

use crate::{Failure, python};
use std::fs::{self, DirBuilder};
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Unlocks a new keyring, prints the address of the bus once the keyring answers, and ends both
/// when its input ends. Without the `kill`, the daemon would survive a bus that ends before it
/// connects.
const SCRIPT: &str = r#"
    printf test | gnome-keyring-daemon --foreground --unlock --components=secrets >&2 &
    daemon=$!
    attempts=300
    answers() {
        dbus-send --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.NameHasOwner string:org.freedesktop.secrets
    }
    until answers | grep -q 'boolean true'; do
        attempts=$((attempts - 1))
        [ "$attempts" -gt 0 ] && kill -0 "$daemon" || { kill "$daemon"; exit 1; }
        sleep 0.1
    done
    echo "$DBUS_SESSION_BUS_ADDRESS"
    cat >&2
    kill "$daemon"
"#;

/// A running Secret Service; it stops when this is dropped.
pub(crate) struct SecretService {
    bus: Child,
    home: PathBuf,
    address: String,
}

/// Runs the keyrings until standard input ends.
///
/// # Errors
/// One of them did not start.
pub(crate) fn serve(root: &Path) -> Result<(), Failure> {
    let (python, secrets) = (python::interpreter(root, "keyring")?, secret_service()?);
    println!("export LACRE_KEYRING_PYTHON={}", python.display());
    println!("export LACRE_SECRET_SERVICE='{}'", secrets.address());
    if kernel_has_one()? {
        println!("export LACRE_KEYCTL=keyctl");
    }
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}

/// Starts a Secret Service with its own home and an unlocked, empty keyring.
///
/// # Errors
/// A program is missing or fails; the message names the remedy.
pub(crate) fn secret_service() -> Result<SecretService, Failure> {
    // Not under `target/`: the path of a socket must be short.
    let home = std::env::temp_dir().join(format!("lacre-secret-service-{}", std::process::id()));
    DirBuilder::new().mode(0o700).create(&home)?;
    let bus = Command::new("dbus-run-session")
        .args(["--", "sh", "-c", SCRIPT])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", &home)
        .env("XDG_RUNTIME_DIR", &home)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let remedy = "apt-get install dbus gnome-keyring";
    let bus = bus.map_err(|error| format!("dbus-run-session did not start ({error}); {remedy}"));
    let mut bus = bus.inspect_err(|_| drop(fs::remove_dir(&home)))?;
    let output = bus.stdout.take();
    let mut service = SecretService { bus, home, address: String::new() };
    BufReader::new(output.ok_or("dbus-run-session has no output")?).read_line(&mut service.address)?;
    service.address.truncate(service.address.trim_end().len());
    if service.address.is_empty() {
        return Err(format!("gnome-keyring-daemon did not start; {remedy}").into());
    }
    Ok(service)
}

impl SecretService {
    /// The address of its bus.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for SecretService {
    fn drop(&mut self) {
        drop(self.bus.stdin.take());
        // The daemon's files are not needed any more.
        let _ = self.bus.wait().and_then(|_| fs::remove_dir_all(&self.home));
    }
}

/// Whether the kernel gives this process a keyring; containers often have none.
///
/// # Errors
/// `keyctl` is missing.
pub(crate) fn kernel_has_one() -> Result<bool, Failure> {
    let asked = Command::new("keyctl").args(["session", "-", "keyctl", "show"]).stdin(Stdio::null()).output();
    let asked = asked.map_err(|error| format!("keyctl did not start ({error}); apt-get install keyutils"))?;
    Ok(asked.status.success())
}
