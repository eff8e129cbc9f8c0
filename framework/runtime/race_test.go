//go:build race

package runtime_test

// mostAllocations is what the whole way may allocate for an event; the race detector empties pools at random.
const mostAllocations = 9
