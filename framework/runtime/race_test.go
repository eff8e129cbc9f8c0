//go:build race

package runtime_test

// mostAllocations is the maximum number of allocations for an event. The race detector empties pools at random.
const mostAllocations = 12
