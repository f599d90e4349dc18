//! Presets: several zones at once, by one word.

use crate::kind::{Preset, Word};

/// The zones of a preset, by its word; none: there is no such preset.
pub fn preset_zones(word: &str) -> Option<&'static [&'static str]> {
    Preset::WORDS.iter().find(|known| known.text == word).map(|known| known.value.zones())
}

impl Preset {
    /// What one writes, and what it stands for.
    pub(crate) const WORDS: [Word<Self>; 2] = [
        Word { text: "azure-health-data-services", value: Self::HealthDataServices, about: "Azure Health Data Services, public cloud" },
        Word {
            text: "azure-health-data-services-usgov",
            value: Self::HealthDataServicesUsGov,
            about: "Azure Health Data Services, US Government",
        },
    ];

    /// The zones it hosts. All spellings that Azure and its documents have used, because only the public CNAME says which one is real.
    pub(crate) fn zones(self) -> &'static [&'static str] {
        match self {
            Self::HealthDataServices => &[
                "privatelink.azurehealthcareapis.com",
                "privatelink.workspace.azurehealthcareapis.com",
                "privatelink.fhir.azurehealthcareapis.com",
                "privatelink.dicom.azurehealthcareapis.com",
            ],
            Self::HealthDataServicesUsGov => &[
                "privatelink.azurehealthcareapis.us",
                "privatelink.workspace.azurehealthcareapis.us",
                "privatelink.fhir.azurehealthcareapis.us",
                "privatelink.dicom.azurehealthcareapis.us",
            ],
        }
    }
}
