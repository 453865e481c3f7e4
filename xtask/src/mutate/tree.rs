//! A copy of the tree to break things in.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::list::Mutation;
use super::switch;
use crate::conformance::trial::REQUIRE_TRACING;
use crate::root::{root, target};

/// A test that runs longer than this has been broken into waiting for ever.
const PATIENCE: Duration = Duration::from_secs(180);

/// The copy, with a target folder of its own.
pub(crate) struct Tree {
    sources: PathBuf,
    target: PathBuf,
}

/// How tests went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ran {
    Passed,
    Failed,
    /// They did not even compile.
    NotBuilt,
}

impl Tree {
    /// Copies what Git knows of the tree, as it is now, and only what differs: the rest stays built.
    pub(crate) fn copy() -> Result<Self> {
        let tree = Self { sources: target().join("mutate/tree"), target: target().join("mutate/target") };
        let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output()?;
        ensure!(listed.status.success(), "git ls-files failed");
        let listed = String::from_utf8(listed.stdout)?;
        for file in listed.split('\0').filter(|file| !file.is_empty()) {
            let Ok(bytes) = fs::read(root().join(file)) else { continue };
            tree.put(file, &bytes)?;
        }
        Ok(tree)
    }

    fn put(&self, file: &str, bytes: &[u8]) -> Result<()> {
        let to = self.sources.join(file);
        if fs::read(&to).is_ok_and(|there| there == bytes) {
            return Ok(());
        }
        fs::create_dir_all(to.parent().unwrap_or(&self.sources))?;
        fs::write(&to, bytes).with_context(|| format!("writing {}", to.display()))
    }

    /// Runs `act` while the mutation is in place.
    pub(crate) fn with<T>(&self, mutation: &Mutation, act: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        let path = self.sources.join(&mutation.file);
        let whole = fs::read_to_string(&path)?;
        fs::write(&path, whole.replacen(&mutation.old, &mutation.new, 1))?;
        let done = act(self);
        fs::write(&path, whole)?;
        done
    }

    /// Runs `act` while all these mutations are in place, asleep: [`test`](Self::test) wakes one.
    pub(crate) fn with_all<T>(
        &self,
        mutations: &[&Mutation],
        act: impl FnOnce(&Self) -> Result<T>,
    ) -> Result<T> {
        let files = mutations.iter().map(|mutation| mutation.file.as_str());
        let files: BTreeSet<&str> = files.chain([switch::HOSTS]).collect();
        let mut before = Vec::new();
        for file in files {
            let path = self.sources.join(file);
            let whole = fs::read_to_string(&path)?;
            let of_file: Vec<&Mutation> =
                mutations.iter().copied().filter(|mutation| mutation.file == file).collect();
            let mut switched = switch::with_all(&whole, &of_file);
            if file == switch::HOSTS {
                switched = switch::told_to_hosts(&switched)?;
            }
            fs::write(&path, switched)?;
            before.push((path, whole));
        }
        let done = act(self);
        for (path, whole) in before {
            fs::write(path, whole)?;
        }
        done
    }

    /// Whether a mutation can be in place asleep.
    pub(crate) fn can_sleep(&self, mutation: &Mutation) -> bool {
        let source = fs::read_to_string(self.sources.join(&mutation.file)).unwrap_or_default();
        switch::is_possible(mutation, &source)
    }

    /// Runs the tests with exactly these names, with the mutation of that name awake, and says whether all of them passed.
    pub(crate) fn test(
        &self,
        package: &str,
        targets: &[String],
        tests: &[String],
        awake: Option<&str>,
    ) -> Result<Ran> {
        let built = self.cargo(package, targets).arg("--no-run").stderr(Stdio::piped()).output()?;
        if !built.status.success() {
            eprintln!("{}", String::from_utf8_lossy(&built.stderr));
            return Ok(Ran::NotBuilt);
        }
        let log = self.target.join("test.log");
        let mut running = self
            .cargo(package, targets)
            .arg("--")
            .args(tests)
            .env(switch::VARIABLE, awake.unwrap_or_default())
            .env(REQUIRE_TRACING, "1")
            .stdout(fs::File::create(&log)?)
            .spawn()
            .context("running cargo test")?;
        let since = Instant::now();
        let status = loop {
            if let Some(status) = running.try_wait()? {
                break status;
            }
            if since.elapsed() > PATIENCE {
                end_group(running.id());
                running.wait()?;
                return Ok(Ran::Failed);
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        if !status.success() {
            return Ok(Ran::Failed);
        }
        let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        for test in tests {
            let ran = text.lines().any(|line| line.contains(test.as_str()) && line.ends_with("... ok"));
            if !ran {
                bail!("{package} has no test {test} that can be run alone");
            }
        }
        Ok(Ran::Passed)
    }

    fn cargo(&self, package: &str, targets: &[String]) -> Command {
        let everything = ["--lib", "--bins", "--tests"].map(str::to_owned);
        let targets = if targets.is_empty() { everything.as_slice() } else { targets };
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command
            .args(["test", "--package", package, "--no-fail-fast"])
            .args(targets)
            .env("CARGO_TARGET_DIR", &self.target)
            // Nobody debugs these programs, and they are built often.
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .current_dir(&self.sources)
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command
    }
}

/// Ends what was started as a process group: Cargo, and the test that hangs.
fn end_group(leader: u32) {
    let _ = Command::new("kill").args(["-KILL", "--", &format!("-{leader}")]).status();
}

/// The day of the commit that the tree is at.
pub(crate) fn day(root: &Path) -> Result<String> {
    let output = Command::new("git").args(["log", "-1", "--format=%cs"]).current_dir(root).output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
