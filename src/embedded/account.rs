//! The user Postgres runs as: it refuses root, so root hands it to another user of the machine.

use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Who runs the programs of Postgres and owns its files.
#[derive(Clone, Debug)]
pub struct Account {
    /// None: this process's own user.
    other: Option<Ids>,
}

#[derive(Clone, Copy, Debug)]
struct Ids {
    user: u32,
    group: u32,
}

impl Account {
    /// Ourselves; as root: the owner of `existing` (a data folder that is to be used again), else `postgres`, else `nobody`.
    pub fn choose(existing: &Path) -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self { other: None });
        }
        let owner = existing.metadata().ok().map(|found| Ids { user: found.uid(), group: found.gid() });
        if let Some(owner) = owner.filter(|owner| owner.user != 0) {
            return Ok(Self { other: Some(owner) });
        }
        let users = std::fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
        for name in ["postgres", "_postgres", "nobody"] {
            if let Some(ids) = find_user(&users, name) {
                return Ok(Self { other: Some(ids) });
            }
        }
        bail!("Postgres does not run as root, and this machine has no user `postgres` or `nobody` to run it as")
    }

    /// A command of this user: none of our environment but PATH, working folder `/`.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().current_dir("/");
        command.env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()));
        // Messages that we show, and read, are in English.
        command.env("LC_ALL", "C");
        if let Some(ids) = self.other {
            // As root, std also drops the supplementary groups.
            command.uid(ids.user).gid(ids.group);
        }
        command
    }

    /// Makes `folder` with the rights of its owner only, or takes an existing one when it is the right user's.
    pub fn make_folder(&self, folder: &Path) -> Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        if let Some(parent) = folder.parent() {
            std::fs::create_dir_all(parent).with_context(|| format!("cannot make the folder {}", parent.display()))?;
        }
        match std::fs::DirBuilder::new().mode(0o700).create(folder) {
            Ok(()) => self.own(folder),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => self.check_owner(folder),
            Err(error) => Err(error).with_context(|| format!("cannot make the folder {}", folder.display())),
        }
    }

    /// Gives `path` to this user.
    pub fn own(&self, path: &Path) -> Result<()> {
        let Some(ids) = self.other else { return Ok(()) };
        chown(path, Some(ids.user), Some(ids.group)).with_context(|| format!("cannot give {} away", path.display()))
    }

    /// Refuses a folder (in a place all users share) that somebody else made.
    fn check_owner(&self, folder: &Path) -> Result<()> {
        let found = folder.symlink_metadata()?;
        let wanted = self.other.map_or_else(|| rustix::process::geteuid().as_raw(), |ids| ids.user);
        if !found.is_dir() || found.uid() != wanted {
            bail!("{} is not a folder of user {wanted}, which is to run Postgres there", folder.display());
        }
        Ok(())
    }

    /// The first folder on the way to `path` that this user may not pass; `path` itself need not exist.
    pub fn blocked_at(&self, path: &Path) -> Option<PathBuf> {
        let ids = self.other?;
        let mut way: Vec<&Path> = path.ancestors().skip(1).collect();
        way.reverse();
        let closed = |folder: &&&Path| {
            let Ok(found) = folder.metadata() else { return false };
            let bit = match () {
                () if found.uid() == ids.user => 0o100,
                () if found.gid() == ids.group => 0o010,
                () => 0o001,
            };
            found.mode() & bit == 0
        };
        way.iter().find(closed).map(|folder| folder.to_path_buf())
    }
}

/// User and group id from the text of `/etc/passwd`.
fn find_user(users: &str, name: &str) -> Option<Ids> {
    let mut fields = users.lines().map(|line| line.split(':')).find_map(|mut fields| {
        let found = fields.next()? == name;
        found.then_some(fields)
    })?;
    let user = fields.nth(1)?.parse().ok()?;
    Some(Ids { user, group: fields.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_their_whole_name() {
        let users = "postgresql:x:1:2::/:/bin/sh\npostgres:x:101:104:Admin,,,:/var/lib:/bin/bash\n";
        let ids = find_user(users, "postgres").unwrap();
        assert_eq!((ids.user, ids.group), (101, 104));
        assert!(find_user(users, "nobody").is_none());
    }

    #[test]
    fn a_folder_closed_to_the_user_is_named() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let stranger = Account { other: Some(Ids { user: 4_000_000, group: 4_000_000 }) };
        let closed = dir.path().join("closed");
        std::fs::create_dir(&closed).unwrap();
        for folder in [dir.path(), &closed] {
            std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        assert_eq!(stranger.blocked_at(&closed.join("data/pg")), None);
        std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(stranger.blocked_at(&closed.join("data/pg")), Some(closed));
    }
}
