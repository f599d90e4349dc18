//! Presets: one word that stands for several zones.

use crate::kind::{ChoiceWord, ZonePreset};

/// Returns the zones of a preset by its word. Returns `None` if there is no such preset.
pub fn preset_zones(word: &str) -> Option<&'static [&'static str]> {
    ZonePreset::WORDS.iter().find(|known| known.text == word).map(|known| known.value.zones())
}

impl ZonePreset {
    /// Each preset with its zones.
    pub(crate) const WORDS: [ChoiceWord<Self>; 2] = [
        ChoiceWord {
            text: "azure-health-data-services",
            value: Self::HealthDataServices,
            about: "Azure Health Data Services, public cloud",
        },
        ChoiceWord {
            text: "azure-health-data-services-usgov",
            value: Self::HealthDataServicesUsGov,
            about: "Azure Health Data Services, US Government",
        },
    ];

    /// Returns the zones of the preset. They include all spellings that Azure and its documentation
    /// have used, because only the public CNAME shows the current one.
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
