//! A command in a real pseudo-terminal, and what stands on its screen.

use std::io::{Read, Write};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use crate::world::HYPERCTL;

/// How long to wait for something on the screen.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Terminal {
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    output: Receiver<Vec<u8>>,
    screen: vt100::Parser,
    /// Every byte that came, for those who look for escape codes.
    pub(crate) raw: Vec<u8>,
}

fn size(columns: u16) -> PtySize {
    PtySize { rows: 30, cols: columns, pixel_width: 0, pixel_height: 0 }
}

impl Terminal {
    /// Starts `hyperctl` in a terminal of so many columns.
    pub(crate) fn start(columns: u16, arguments: &[&str], environment: &[(&str, String)]) -> Self {
        let pair = native_pty_system().openpty(size(columns)).expect("a pseudo-terminal");
        let mut command = CommandBuilder::new(HYPERCTL);
        command.args(arguments);
        command.env_clear();
        command.env("TERM", "xterm-256color");
        for (name, value) in environment {
            command.env(name, value);
        }
        let child = pair.slave.spawn_command(command).expect("hyperctl starts");
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().expect("a reader");
        let (sender, output) = mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // At its end Linux answers a read with an error.
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        let keys = pair.master.take_writer().expect("a writer");
        let screen = vt100::Parser::new(30, columns, 0);
        Terminal { master: pair.master, keys, child, output, screen, raw: Vec::new() }
    }

    pub(crate) fn text(&self) -> String {
        self.screen.screen().contents()
    }

    /// The one row that contains `text`, if exactly one does.
    pub(crate) fn row(&self, text: &str) -> Option<String> {
        let screen = self.text();
        let mut rows = screen.lines().filter(|row| row.contains(text));
        let row = rows.next()?.to_owned();
        rows.next().is_none().then_some(row)
    }

    /// Waits until the screen is as wanted.
    pub(crate) fn wait(&mut self, what: &str, mut wanted: impl FnMut(&Self) -> bool) {
        let begun = Instant::now();
        while !wanted(self) {
            let left = PATIENCE.saturating_sub(begun.elapsed());
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.take(&bytes),
                Err(error) => panic!("never saw {what} ({error}):\n{}", self.text()),
            }
        }
    }

    pub(crate) fn resize(&mut self, columns: u16) {
        self.master.resize(size(columns)).expect("the terminal is resized");
        self.screen.screen_mut().set_size(30, columns);
    }

    pub(crate) fn press(&mut self, key: u8) {
        self.keys.write_all(&[key]).expect("the key is pressed");
    }

    /// Waits for the end, and gives the exit code.
    pub(crate) fn end(&mut self) -> u32 {
        while let Ok(bytes) = self.output.recv_timeout(PATIENCE) {
            self.take(&bytes);
        }
        self.child.wait().expect("the child is ours").exit_code()
    }

    fn take(&mut self, bytes: &[u8]) {
        self.raw.extend_from_slice(bytes);
        self.screen.process(bytes);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}
