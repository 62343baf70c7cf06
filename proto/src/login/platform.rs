//! As what kind of client a companion shows itself.

use waproto::whatsapp::device_props::PlatformType;

/// The icon on the phone's list of linked devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Platform {
    /// A browser.
    #[default]
    Chrome,
    /// A desktop application.
    Desktop,
    /// Anything else, by its number in `DeviceProps.PlatformType`.
    Other(i32),
}

impl Platform {
    /// Browsers beside Chrome.
    pub const FIREFOX: Platform = Platform::Other(FIREFOX);
    /// See [`Platform::FIREFOX`].
    pub const OPERA: Platform = Platform::Other(OPERA);
    /// See [`Platform::FIREFOX`].
    pub const SAFARI: Platform = Platform::Other(SAFARI);
    /// See [`Platform::FIREFOX`].
    pub const EDGE: Platform = Platform::Other(EDGE);

    /// The one with this number in `DeviceProps.PlatformType`.
    pub fn of_number(number: i32) -> Platform {
        match number {
            CHROME => Platform::Chrome,
            DESKTOP => Platform::Desktop,
            number => Platform::Other(number),
        }
    }

    /// Its number in `DeviceProps.PlatformType`.
    pub fn number(self) -> i32 {
        match self {
            Platform::Chrome => CHROME,
            Platform::Desktop => DESKTOP,
            Platform::Other(number) => number,
        }
    }

    /// The sort of client as codes and `companion_platform_id` name it. Who is no browser is another web client;
    /// the phones and tablets among them would have to prove what they are.
    pub fn client_type(self) -> char {
        match self.number() {
            CHROME => '1',
            EDGE => '2',
            FIREFOX => '3',
            IE => '4',
            OPERA => '5',
            SAFARI => '6',
            DESKTOP => '7',
            UWP => '8',
            _ => '9',
        }
    }

    /// What a phone shows while it asks for a pairing code: a browser and a system, or WhatsApp refuses.
    pub fn display(self) -> &'static str {
        match self.number() {
            EDGE => "Edge (Linux)",
            FIREFOX => "Firefox (Linux)",
            IE => "IE (Linux)",
            OPERA => "Opera (Linux)",
            SAFARI => "Safari (Linux)",
            _ => "Chrome (Linux)",
        }
    }
}

/// Numbers in `DeviceProps.PlatformType`.
const CHROME: i32 = PlatformType::CHROME as i32;
const FIREFOX: i32 = PlatformType::FIREFOX as i32;
const IE: i32 = PlatformType::IE as i32;
const OPERA: i32 = PlatformType::OPERA as i32;
const SAFARI: i32 = PlatformType::SAFARI as i32;
const EDGE: i32 = PlatformType::EDGE as i32;
const DESKTOP: i32 = PlatformType::DESKTOP as i32;
const UWP: i32 = PlatformType::UWP as i32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_shows_itself_as_the_browser_that_it_says_it_is() {
        let shown = |platform: Platform| (platform.client_type(), platform.display());
        assert_eq!(shown(Platform::Chrome), ('1', "Chrome (Linux)"));
        assert_eq!(shown(Platform::FIREFOX), ('3', "Firefox (Linux)"));
        assert_eq!(shown(Platform::Desktop), ('7', "Chrome (Linux)"));
        assert_eq!(shown(Platform::Other(PlatformType::IPAD as i32)), ('9', "Chrome (Linux)"));
    }
}
