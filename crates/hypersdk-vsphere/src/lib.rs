#![doc = include_str!("../README.md")]

mod api;
mod config;
mod describe;
mod export;
mod http;
mod inventory;
mod lease;
mod nfc;
mod orphans;
mod pool;
mod power;
mod preflight;
mod provider;
mod session;
mod snapshot;
mod soap;
mod tls;
mod wait;

pub use config::{InventoryConfig, PoolConfig, VsphereConfig};
pub use describe::VmDescription;
pub use provider::{VsphereProvider, factory};
pub use soap::{Fault, FaultClass, FaultKind};
pub use tls::{
    CertificateRefused, InvalidThumbprint, KnownHosts, ShownCertificate, Thumbprint, look_at_certificate,
};
