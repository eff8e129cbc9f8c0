// Package testsize makes tests smaller where they would take long: with go test -short, and under the race detector, which makes code
// many times slower and needs only a few rounds to find a race.
package testsize

import "testing"

// Of returns how much a test does: all, or less with -short or under the race detector.
func Of(all, less int) int {
	if Small() {
		return less
	}
	return all
}

// Small reports whether tests do less, because of -short or the race detector.
func Small() bool { return raceDetector || testing.Short() }
