//! Keys of the readers of private endpoints.

use super::*;

section! {
    /// A reader of the private endpoints of Azure: zones with `azure` have them as records. It asks Resource Graph for all endpoints that
    /// its identity may read, as approved and with the addresses and names of their network interfaces.
    azure = "azure", List,
        shown: &[
            &["name", "cloud", "identity", "client-id", "interval"],
            &["name = \"fabrikam\"", "identity = \"secret\"", "tenant", "client-id", "client-secret-file", "subscriptions"],
            &["name = \"contoso-aks\"", "identity = \"workload\"", "token-file", "management-groups", "endpoint", "authority"],
        ],
        rules: &[
            KeyRule::NotBoth {
                keys: ["subscriptions", "management-groups"],
                message: "a reader reads either `subscriptions` or `management-groups`",
                help: "remove one of them, or write another `[[azure]]`",
            },
        ];

    /// Name of the reader, by which zones refer to it.
    NAME "name": LineOfText = LineOfText { most: 63, about: "a name", good: LineOfText::account }, RequiredKey { example: r#""contoso""# };

    /// Cloud that is read.
    CLOUD "cloud": OneOf<AzureCloud> = OneOf { words: &AzureCloud::WORDS }, DefaultKey { default: r#""public""# };

    /// Identity of the reader. It needs the role Reader on the subscriptions, best through their management group.
    IDENTITY "identity": OneOf<IdentityChoice> = OneOf { words: &IdentityChoice::WORDS }, DefaultKey { default: r#""managed""# };

    /// Tenant of the application.
    TENANT "tenant": LineOfText = LineOfText { most: 253, about: "a tenant", good: LineOfText::account },
        OptionalKey { absent: "AZURE_TENANT_ID for `\"workload\"`; required for `\"secret\"`", example: r#""00000000-0000-0000-0000-00000000c011""# };

    /// Application, or one of several user-assigned identities of the machine.
    CLIENT_ID "client-id": LineOfText = LineOfText { most: 64, about: "an ID", good: LineOfText::account },
        OptionalKey { absent: "the only identity of the machine; AZURE_CLIENT_ID for `\"workload\"`; required for `\"secret\"`", example: r#""00000000-0000-0000-0000-00000000c1d0""# };

    /// File with the client secret. It is read for each token.
    CLIENT_SECRET_FILE "client-secret-file": PathText = PathText, OptionalKey { absent: "required for `\"secret\"`", example: r#""azure.secret""# };

    /// File with the federated token. It is read for each token.
    TOKEN_FILE "token-file": PathText = PathText, OptionalKey { absent: "AZURE_FEDERATED_TOKEN_FILE", example: r#""/var/run/secrets/azure/tokens/azure-identity-token""# };

    /// IDs of the subscriptions that are read. One that the identity may not read costs the others nothing.
    SUBSCRIPTIONS "subscriptions": ListOf<LineOfText> = ListOf { of: LineOfText { most: 36, about: "a subscription ID", good: LineOfText::account }, least: 1 },
        OptionalKey { absent: "all that the identity may read", example: r#"["00000000-0000-0000-0000-000000000001"]"# };

    /// Management groups whose subscriptions are read.
    MANAGEMENT_GROUPS "management-groups": ListOf<LineOfText> = ListOf { of: LineOfText { most: 90, about: "the ID of a management group", good: LineOfText::printable }, least: 1 },
        OptionalKey { absent: "all subscriptions that the identity may read", example: r#"["contoso"]"# };

    /// Time between two readings. Up to a tenth less is waited, at random.
    INTERVAL "interval": BoundedDuration = BoundedDuration { least: 100, most: DAY, zero: "" }, DefaultKey { default: r#""1m""# };

    /// URL of Azure Resource Manager.
    ENDPOINT "endpoint": ServiceUrl = ServiceUrl, OptionalKey { absent: "that of `cloud`", example: r#""http://127.0.0.1:8054""# };

    /// URL that issues tokens.
    AUTHORITY "authority": ServiceUrl = ServiceUrl,
        OptionalKey { absent: "Entra ID of `cloud`; for `\"managed\"` the metadata service of the machine (IMDS)", example: r#""http://127.0.0.1:8054""# };
}
