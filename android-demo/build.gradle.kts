plugins {
    id("com.android.application") version libs.versions.agp.get() apply false
}
