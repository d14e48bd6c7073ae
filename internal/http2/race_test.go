//go:build race

package http2

// raceDetector says that pools drop a part of what they are given.
const raceDetector = true
