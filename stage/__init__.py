"""The second theatre: journeys performed in memory, on the SDK's own workflow runtime."""
