//go:build race

package suite

// raceDetector says that the tests are built with it.
const raceDetector = true
