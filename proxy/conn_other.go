//go:build !unix

package proxy

// canWaitRaw says that a connection can be waited for without a buffer.
const canWaitRaw = false

func readNow(uintptr, []byte) (n int, again bool, err error) { panic("no raw reads here") }
