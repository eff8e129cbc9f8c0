//go:build !race

package runtime_test

// mostAllocations is what the whole way may allocate for an event.
const mostAllocations = 5
