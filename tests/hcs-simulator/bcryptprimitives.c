/* The one function of bcryptprimitives.dll that Rust's standard library asks for and Wine 8 does not have. */
#include <windows.h>
#include <ntsecapi.h>

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE buffer, SIZE_T length) {
  while (length > 0) {
    ULONG part = length > 0x10000000 ? 0x10000000 : (ULONG)length;
    if (!RtlGenRandom(buffer, part)) return FALSE;
    buffer += part;
    length -= part;
  }
  return TRUE;
}
