//! `sofa package`: FHIR packages, those that come with the program included.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};

use crate::{
    config::Config,
    fhir::{
        definition::{package::Package, registry::Registry},
        validate::Validator,
    },
    packages,
};

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Compile a package; the same package always gives the same bytes
    Compile(Compile),
    /// List the packages that apply: those of the configuration and the built-in ones
    List,
    /// Look for what is wrong with packages: exit code 1 if a server could not start with them
    Check(Check),
}

#[derive(clap::Args)]
pub(super) struct Compile {
    /// A .tgz file, or a folder with a package.json
    from: PathBuf,
    /// Where to write the compiled package
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(clap::Args)]
pub(super) struct Check {
    /// .tgz files or folders, beside the packages of the configuration
    files: Vec<PathBuf>,
}

/// Compiling needs no configuration.
pub(super) fn compile(Compile { from, out }: &Compile) -> Result<ExitCode> {
    let definitions = packages::definitions(from)?;
    let bytes = definitions.encode().map_err(anyhow::Error::msg)?;
    fs::write(out, &bytes).with_context(|| out.display().to_string())?;
    println!("{}", line(&Package::open(bytes.clone()).map_err(anyhow::Error::msg)?));
    println!("{}: {} bytes", out.display(), bytes.len());
    Ok(ExitCode::SUCCESS)
}

/// Lists the packages that apply.
pub(super) fn list(config: &Config) -> Result<ExitCode> {
    let registry = packages::load(&config.validation)?;
    for package in registry.packages() {
        println!("{}", line(package));
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes everything that would be made on demand, and tells what cannot.
pub(super) fn check(config: &Config, Check { files }: &Check) -> Result<ExitCode> {
    let cache = config.validation.package_cache.as_deref();
    let opened = config.validation.packages.iter().chain(files).map(|path: &PathBuf| {
        let path: &Path = path;
        packages::open(path, cache)
    });
    let opened: Vec<Package> = opened.collect::<Result<_, _>>()?;
    let (registry, errors) = Registry::assemble(opened);
    for warning in registry.warnings() {
        println!("warning: {warning}");
    }
    for error in &errors {
        println!("error: {error}");
    }
    let unreadable = Validator::unreadable(&registry);
    for invariant in &unreadable {
        println!("error: {invariant}");
    }
    for package in registry.packages() {
        println!("{}{}", line(package), value_sets(&registry, package));
    }
    Ok(if errors.is_empty() && unreadable.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn line(package: &Package) -> String {
    format!(
        "{}: {} structures, {} value sets, {} code systems, {} search parameters",
        package.manifest(),
        package.structures().len(),
        package.value_sets().len(),
        package.code_systems().len(),
        package.parameters().len(),
    )
}

/// Expands the value sets, and tells how many are not lists of codes.
fn value_sets(registry: &Registry, package: &Package) -> String {
    let sets = package.value_sets().iter();
    let made = sets.filter_map(|head| registry.expansion(&format!("{}|{}", head.url, head.version)));
    match made.filter(|set| !set.is_closed()).count() {
        0 => String::new(),
        open => format!(" ({open} value sets have codes of systems that are not loaded)"),
    }
}
