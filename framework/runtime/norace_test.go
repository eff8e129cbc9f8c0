//go:build !race

package runtime_test

// mostAllocations is the maximum number of allocations for an event.
const mostAllocations = 6
