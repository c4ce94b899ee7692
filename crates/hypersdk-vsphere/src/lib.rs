#![doc = include_str!("../README.md")]

mod api;
mod config;
mod export;
mod http;
mod inventory;
mod lease;
mod nfc;
mod power;
mod provider;
mod session;
mod snapshot;
mod soap;
mod tls;
mod wait;

pub use config::VsphereConfig;
pub use provider::{VsphereProvider, factory};
pub use soap::{Fault, FaultKind};
pub use tls::{CertificateRefused, InvalidThumbprint, Thumbprint};
