package suite

import "slices"

// wireScenarios are what the proxy meets between itself and its origins: on the
// wire, and in finding them.
func wireScenarios() []Scenario {
	return slices.Concat(
		headScenarios,
		refusedScenarios,
		bodyScenarios,
		slowScenarios,
		keepAliveScenarios,
		bothScenarios,
		lineScenarios,
		farScenarios,
		nameScenarios,
	)
}
