//! The program.
use mimalloc::MiMalloc;
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;
fn main() {
    let raw = sealwright::config::raw::Raw::read(None, sealwright::config::raw::process_environment(), &[]);
    let config =
        sealwright::config::Config::resolve(&raw, sealwright::config::MasterKeyNeed::WithPostgres).unwrap();
    let _g = sealwright::telemetry::start_logging(
        "info",
        sealwright::telemetry::Format::Auto,
        sealwright::telemetry::Output::Stdout,
    );
    let rt = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    if let Err(e) = rt.block_on(sealwright::app::serve(config)) {
        eprintln!("{e}");
        std::process::exit(1)
    }
}
