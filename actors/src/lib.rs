//! What a device does and when: pure machines and the ractor shells beside them.

pub mod device;
pub mod loading;
pub mod machine;
pub mod port;
pub mod shell;
pub mod vault;
pub mod warm;
