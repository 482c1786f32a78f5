;; world: info
;; Fills 32 MiB of its memory again and again: one instruction at a time looks harmless, all of them are a loop.
(module
  (memory (export "memory") 512)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
  (func (export "wharf:adapter/info@0.1.0#describe") (result i32)
    (loop $again
      (memory.fill (i32.const 0) (i32.const 7) (i32.const 0x2000000))
      (br $again))
    unreachable))
